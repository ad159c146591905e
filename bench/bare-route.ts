/** A program of its own: the order route on Fastify as it comes, without anything behind it. */
import Fastify from 'fastify';
import { CreateOrder, Order } from '@waybill/orders/contract.ts';
import { CONSTANT_ORDER } from './order-body.ts';

// Our schemas say in words of their own what a pattern asks for.
const server = Fastify({ ajv: { customOptions: { keywords: ['x-must'] } } });
server.get('/', () => ({ status: 'ok' }));
server.post(
  '/api/v1/orders',
  { schema: { body: CreateOrder, response: { 202: Order } } },
  (_request, reply) => {
    void reply
      .code(202)
      .header('location', `/api/v1/orders/${CONSTANT_ORDER.id}`)
      .send(CONSTANT_ORDER);
  },
);
await server.listen({ port: Number(process.argv[2]), host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit(0));
