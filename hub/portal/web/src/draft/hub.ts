// The draft keeper's door to the hub, and the browser's timers.
import { api, ApiError } from '../api.ts';
import type { Draft } from '../types.ts';
import type { Hub, Timer } from './keeper.ts';

export function hubFor(caseId: number): Hub {
  return {
    save: (base, body) => api.saveDraft(caseId, base, body),
    stale: (error) =>
      error instanceof ApiError && error.status === 409 && error.current ? (error.current as Draft) : null,
    describe: (error) => (error instanceof Error ? error.message : String(error)),
  };
}

export const browserTimer: Timer = {
  set: (work, milliseconds) => window.setTimeout(work, milliseconds),
  clear: (handle) => window.clearTimeout(handle),
};

/** Where this browser keeps what the hub has not got yet: by person and case. */
export function draftKey(user: string, caseId: number): string {
  return `telerad.draft.${user}.${caseId}`;
}
