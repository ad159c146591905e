/** What the processes of the topic `gateway` and their measurement agree upon. */

/** The gateway proxies to names that it knows. */
export const CONSTANT_SERVICE = 'orders';
export const CONSTANT_PATH = '/api/v1/orders/constant';
export const SECRET = 'a secret of the bench alone';
