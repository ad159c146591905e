/** Reads mails (RFC 5322, 2045–2047) as far as a reader of them needs. */

export interface ReadMail {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly messageId: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly text: string | undefined;
  readonly html: string | undefined;
}

interface Part {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

const MOST_HEADERS = 200;
const MOST_PARTS = 50;
const DEEPEST = 5;

export function readMail(raw: Buffer): ReadMail {
  const { headers, body } = splitPart(raw);
  const found: { text?: string; html?: string; parts: number } = { parts: 0 };
  collect({ headers, body }, found, 0);
  const header = (name: string) => headerOf(headers, name) ?? '';
  return {
    subject: decodeWords(header('subject')),
    from: decodeWords(header('from')),
    to: decodeWords(header('to')),
    messageId: header('message-id').trim(),
    headers: headers.map(([name, value]) => [name, decodeWords(value)] as const),
    text: found.text,
    html: found.html,
  };
}

function collect(
  part: Part,
  found: { text?: string; html?: string; parts: number },
  depth: number,
): void {
  if (++found.parts > MOST_PARTS || depth > DEEPEST) return;
  const type = headerOf(part.headers, 'content-type') ?? 'text/plain';
  const kind = type.split(';')[0]?.trim().toLowerCase() ?? '';
  if (kind.startsWith('multipart/')) {
    const boundary = parameter(type, 'boundary');
    if (boundary !== undefined)
      for (const inner of splitParts(part.body, boundary)) collect(inner, found, depth + 1);
    return;
  }
  if (/^attachment/i.test(headerOf(part.headers, 'content-disposition') ?? '')) return;
  if (kind === 'text/plain') found.text ??= decodeBody(part, type);
  if (kind === 'text/html') found.html ??= decodeBody(part, type);
}

function splitPart(raw: Buffer): Part {
  const text = raw.toString('latin1');
  const end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n');
  const head = end === -1 ? text : text.slice(0, end);
  const body = end === -1 ? Buffer.alloc(0) : raw.subarray(end === 0 ? 2 : end + 4);
  const headers = head
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .slice(0, MOST_HEADERS)
    .flatMap((line) => {
      const colon = line.indexOf(':');
      // Headers may be written in UTF-8 (RFC 6532).
      const value = Buffer.from(line.slice(colon + 1).trim(), 'latin1').toString('utf8');
      return colon > 0 ? [[line.slice(0, colon).trim(), value] as const] : [];
    });
  return { headers, body };
}

function splitParts(body: Buffer, boundary: string): Part[] {
  const pieces = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`).slice(1);
  const parts: Part[] = [];
  for (const piece of pieces.slice(0, MOST_PARTS)) {
    if (piece.startsWith('--')) break;
    const start = piece.indexOf('\r\n');
    if (start !== -1) parts.push(splitPart(Buffer.from(piece.slice(start + 2), 'latin1')));
  }
  return parts;
}

function headerOf(headers: Part['headers'], name: string): string | undefined {
  return headers.find(([given]) => given.toLowerCase() === name)?.[1];
}

function parameter(header: string, name: string): string | undefined {
  for (const piece of header.split(';').slice(1)) {
    const [key = '', ...rest] = piece.split('=');
    if (key.trim().toLowerCase() === name)
      return rest
        .join('=')
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}

function decodeBody({ headers, body }: Part, type: string): string {
  const encoding = headerOf(headers, 'content-transfer-encoding')?.trim().toLowerCase();
  const ascii = () => body.toString('latin1');
  const bytes =
    encoding === 'base64'
      ? Buffer.from(ascii(), 'base64')
      : encoding === 'quoted-printable'
        ? unquote(ascii().replaceAll(/=[ \t]*\r?\n/g, ''))
        : body;
  return decode(bytes, parameter(type, 'charset') ?? 'utf-8').replaceAll('\r\n', '\n');
}

function unquote(text: string): Buffer {
  const plain = text.replaceAll(/=([0-9A-Fa-f]{2})/g, (_match, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(plain, 'latin1');
}

function decode(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

/** Encoded words, and the white space between two of them, which is none. */
function decodeWords(value: string): string {
  return value
    .replaceAll(/(=\?[^?\s]{1,40}\?[bq]\?[^?\s]*\?=) (?==\?[^?\s]{1,40}\?[bq]\?)/gi, '$1')
    .replaceAll(
      /=\?([^?\s]{1,40})\?([bq])\?([^?\s]*)\?=/gi,
      (_match, charset: string, kind: string, text: string) =>
        decode(
          kind.toLowerCase() === 'b'
            ? Buffer.from(text, 'base64')
            : unquote(text.replaceAll('_', ' ')),
          charset,
        ),
    );
}
