// Passkeys: the browser's own WebAuthn, with the JSON forms of WebAuthn level 3.

export type Json = Record<string, unknown>;

/** Whether this browser can. */
export function canPasskeys(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}

function json(credential: Credential | null): Json {
  if (!(credential instanceof PublicKeyCredential)) {
    throw new Error('no passkey was chosen');
  }
  return credential.toJSON() as unknown as Json;
}

/** Make a passkey for the hub's options. */
export async function makePasskey(options: Json): Promise<Json> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
    options as unknown as PublicKeyCredentialCreationOptionsJSON,
  );
  return json(await navigator.credentials.create({ publicKey }));
}

/** Answer the hub's challenge. */
export async function showPasskey(options: Json): Promise<Json> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(
    options as unknown as PublicKeyCredentialRequestOptionsJSON,
  );
  return json(await navigator.credentials.get({ publicKey }));
}
