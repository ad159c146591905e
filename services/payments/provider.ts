/**
 * The payment provider port: `sandbox`, `stripe` and `wallet`. A provider answers with
 * data; it throws only when the code is wrong.
 */

export interface ChargeRequest {
  /** A function of order and purpose, never of the attempt: the provider deduplicates by it. */
  readonly key: string;
  readonly orderId: string;
  /** Whose order it is; a wallet is charged by its owner's name. */
  readonly customerId: string | null;
  readonly amountMinor: number;
  readonly currency: string;
  readonly token: string | null;
}

export interface Captured {
  readonly kind: 'captured';
  readonly reference: string;
  readonly amountMinor: number;
}

/** A final no. */
export interface Declined {
  readonly kind: 'declined';
  readonly code: string;
  readonly message: string;
}

/** The provider answered that it failed (5xx): an attempt. Whether it charged is not certain. */
export interface Faulted {
  readonly kind: 'fault';
  readonly message: string;
}

/** No usable answer. `reached` false: the request certainly never got there. */
export interface Away {
  readonly kind: 'outage';
  readonly message: string;
  readonly reached: boolean;
}

export type ChargeAnswer = Captured | Declined | Faulted | Away;
/** Nothing is recorded under the key. */
export type FindAnswer = ChargeAnswer | { readonly kind: 'none' };
/** `voided`: nothing was charged under the key, and never will be. */
export type VoidAnswer = Captured | Faulted | Away | { readonly kind: 'voided' };
export type RefundAnswer =
  | Faulted
  | Away
  | { readonly kind: 'refunded'; readonly reference: string };

/** What a signed callback says. */
export interface Callback {
  readonly eventId: string;
  readonly orderId: string;
  readonly answer: Captured | Declined | undefined;
}

export interface PaymentProvider {
  readonly name: string;
  charge(request: ChargeRequest): Promise<ChargeAnswer>;
  /** What became of a key whose call had no answer. */
  find(request: ChargeRequest): Promise<FindAnswer>;
  /** Makes sure that nothing is charged under the key from now on, unless it was already. */
  voidKey(request: ChargeRequest): Promise<VoidAnswer>;
  refund(request: {
    readonly key: string;
    readonly reference: string;
    readonly amountMinor: number;
    readonly currency: string;
  }): Promise<RefundAnswer>;
  /** Verifies signature and age of a callback over its raw bytes. Refuses with 401. */
  readCallback(
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Buffer,
  ): Callback;
  close(): Promise<void>;
}
