// The one door to the hub: every request of the portal goes through here.
import type { Body, Case, CaseDetail, Custody, Draft, Report, Saved, Session } from './types.ts';

/** An answer that is not a success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly current: unknown = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later: the hub was away or busy. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const UNSAFE = new Set(['POST', 'PUT', 'DELETE']);
let csrf = '';
let onSessionEnd: () => void = () => undefined;

/** Tell what to do when the hub no longer knows our session. */
export function whenSessionEnds(callback: () => void): void {
  onSessionEnd = callback;
}

async function problem(response: Response): Promise<ApiError> {
  const fallback = `${response.status} ${response.statusText}`;
  try {
    const { error, current } = (await response.json()) as {
      error?: { code?: string; message?: string };
      current?: unknown;
    };
    return new ApiError(response.status, error?.code ?? '', error?.message ?? fallback, current ?? null);
  } catch {
    return new ApiError(response.status, '', fallback);
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
  }
  if (UNSAFE.has(method)) {
    headers['X-CSRF-Token'] = csrf;
  }
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (error) {
    throw new ApiError(0, 'unreachable', error instanceof Error ? error.message : String(error));
  }
  if (!response.ok) {
    const failure = await problem(response);
    // A wrong code while the second factor is set up is 401 too, and ends no session.
    if (failure.status === 401 && failure.code !== 'bad_credentials' && path !== '/api/session') {
      onSessionEnd();
    }
    throw failure;
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function begin(answer: Promise<Session>): Promise<Session> {
  const session = await answer;
  csrf = session.csrf;
  return session;
}

// Who may not read reports gets a case without them.
async function whole(answer: Promise<CaseDetail>): Promise<CaseDetail> {
  const detail = await answer;
  return { ...detail, reports: detail.reports ?? [] };
}

const ofCase = (id: number): string => `/api/cases/${id}`;

export const api = {
  session: () => begin(call<Session>('GET', '/api/session')),
  logIn: (username: string, password: string, code?: string) =>
    begin(call<Session>('POST', '/api/session', code ? { username, password, code } : { username, password })),
  logOut: () => call<void>('DELETE', '/api/session'),
  enrol: () => call<{ secret: string; uri: string }>('POST', '/api/session/totp', {}),
  confirmEnrolment: (code: string) => call<void>('POST', '/api/session/totp/confirm', { code }),
  setLanguage: (language: string) => call<void>('PUT', '/api/session/language', { language }),
  worklist: (mine: boolean) =>
    call<{ cases: Case[]; now: string }>('GET', mine ? '/api/worklist?mine=1' : '/api/worklist'),
  case: (id: number) => whole(call<CaseDetail>('GET', ofCase(id))),
  open: (id: number) => whole(call<CaseDetail>('POST', `${ofCase(id)}/open`, {})),
  release: (id: number) => call<void>('POST', `${ofCase(id)}/release`, {}),
  return: (id: number, reason: string) => call<void>('POST', `${ofCase(id)}/return`, { reason }),
  draft: (id: number) => call<Draft>('GET', `${ofCase(id)}/draft`),
  saveDraft: (id: number, base_revision: number, body: Body) =>
    call<Saved>('PUT', `${ofCase(id)}/draft`, { base_revision, body }),
  sign: (id: number, revision: number, passphrase: string) =>
    call<Report>('POST', `${ofCase(id)}/sign`, { revision, passphrase }),
  addendum: (id: number, body: Body, passphrase: string) =>
    call<Report>('POST', `${ofCase(id)}/addendum`, { body, passphrase }),
  custody: (id: number) => call<Custody>('GET', `${ofCase(id)}/custody`),
  report: (id: string) => call<Report>('GET', `/api/reports/${encodeURIComponent(id)}`),
  admin: <T>(table: string) => call<T>('GET', `/api/admin/${table}`),
};
