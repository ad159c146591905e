/** Access tokens for the tests, good ones but for what is changed. */
import { webcrypto } from 'node:crypto';
import { createDevelopmentKey } from '@waybill/gateway/dev-key.ts';
import { ask, type Told } from './entrance.ts';

type CryptoKey = webcrypto.CryptoKey;
type Part = Readonly<Record<string, unknown>>;

export type Sign = (claims?: Part, header?: Part, signer?: CryptoKey) => Promise<string>;

export interface TokenTools {
  readonly key: CryptoKey;
  readonly kid: string;
  readonly sign: Sign;
  /** Signs any text as the payload. */
  readonly signText: (text: string, header?: Part, signer?: CryptoKey) => Promise<string>;
}

/** Signs with the development key of the folder, which is made if need be. */
export async function openTokenTools(dataDir: string): Promise<TokenTools> {
  const { kty, crv, x, d, kid } = await createDevelopmentKey(dataDir);
  const jwk = { kty, crv, x, d } as webcrypto.JsonWebKey;
  const key = await webcrypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['sign']);
  const signText: TokenTools['signText'] = async (text, header = {}, signer = key) => {
    const head = JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid, ...header });
    const input = [head, text].map((part) => Buffer.from(part).toString('base64url')).join('.');
    const algorithm = { name: signer.algorithm.name, hash: 'SHA-256' };
    const signature = await webcrypto.subtle.sign(algorithm, signer, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  };
  return {
    key,
    kid,
    signText,
    sign: (claims = {}, header = {}, signer = key) => {
      const base = { iss: 'waybill', aud: 'waybill', sub: 'ada', roles: ['customer'] };
      const payload = { ...base, exp: seconds() + 300, ...claims };
      return signText(JSON.stringify(payload), header, signer);
    },
  };
}

export function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Calls the mirror `echo` with a token. */
export function callEcho(url: string, token: string): Promise<Told> {
  return ask(`${url}/api/v1/echo`, { headers: { authorization: `Bearer ${token}` } });
}
