import { readMail } from './mime.ts';
import type { ReadMail } from './mime.ts';
import type { ReceivedMail } from './smtp.ts';

/** A mail that was taken. */
export interface KeptMail extends ReadMail {
  readonly id: number;
  readonly receivedAt: string;
  /** Whom the client named, whatever the headers say. */
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly raw: Buffer;
  /** How often it came: a Message-ID that was there before is the same mail again. */
  readonly copies: number;
}

export interface Mailbox {
  add(mail: ReceivedMail): void;
  /** Newest first. */
  all(): readonly KeptMail[];
  find(id: number): KeptMail | undefined;
  clear(): void;
  /** Of all that ever came. */
  readonly received: number;
}

const MOST_MAILS = 1000;
const MOST_BYTES = 64 * 1024 * 1024;

/** Keeps mails in memory; the oldest make room for new ones. */
export function createMailbox(): Mailbox {
  let mails: KeptMail[] = [];
  let bytes = 0;
  let received = 0;
  let lastId = 0;
  const forget = (mail: KeptMail) => {
    bytes -= mail.raw.length;
  };
  return {
    add({ from, to, raw }) {
      received++;
      const read = readMail(raw);
      const same = mails.findIndex(
        ({ messageId, envelope }) =>
          messageId !== '' && messageId === read.messageId && envelope.to.join() === to.join(),
      );
      const first = mails[same];
      if (first !== undefined) {
        mails[same] = { ...first, copies: first.copies + 1 };
        return;
      }
      const receivedAt = new Date().toISOString();
      const envelope = { from, to };
      mails.unshift({ ...read, id: ++lastId, receivedAt, envelope, raw, copies: 1 });
      bytes += raw.length;
      while (mails.length > MOST_MAILS || (bytes > MOST_BYTES && mails.length > 1))
        forget(mails.pop() as KeptMail);
    },
    all: () => mails,
    find: (id) => mails.find((mail) => mail.id === id),
    clear() {
      mails = [];
      bytes = 0;
    },
    get received() {
      return received;
    },
  };
}
