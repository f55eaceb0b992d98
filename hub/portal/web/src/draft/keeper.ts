// Keeps a draft so that no text is lost: every edit is written to the browser's own store first, then to the hub.
// A save that fails changes nothing on the screen and is tried again; a draft that someone else changed meanwhile
// is never overwritten: both texts are shown. Pure apart from what it is given (store, hub, timer).
import type { Body, Draft, Saved } from '../types.ts';

export type Status =
  | { kind: 'clean' } // as the hub has it, nothing typed yet
  | { kind: 'kept' } // in this browser, on its way to the hub
  | { kind: 'saved'; at: string }
  | { kind: 'failed'; why: string } // in this browser; the hub will be asked again
  | { kind: 'conflict'; theirs: Draft };

export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Hub {
  save(base: number, body: Body): Promise<Saved>;
  /** The other draft if the error says that ours is stale, else null. */
  stale(error: unknown): Draft | null;
  describe(error: unknown): string;
}

export interface Timer {
  set(work: () => void, milliseconds: number): number;
  clear(handle: number): void;
}

interface Kept {
  base: number;
  body: Body;
}

export const QUIET_MS = 600;
const RETRY_MS = [2_000, 4_000, 8_000, 15_000, 30_000];

export function emptyBody(language: string): Body {
  return {
    clinical_question: '',
    technique: '',
    comparison: '',
    findings: '',
    impression: '',
    critical: false,
    language,
  };
}

export function sameText(a: Body, b: Body): boolean {
  return (Object.keys(emptyBody('')) as (keyof Body)[]).every((key) => a[key] === b[key]);
}

export class DraftKeeper {
  body: Body;
  revision = 0;
  status: Status = { kind: 'clean' };
  private timer: number | null = null;
  private running: Promise<void> | null = null;
  private failures = 0;
  private stopped = false;

  constructor(
    private readonly key: string,
    private readonly store: Store,
    private readonly hub: Hub,
    private readonly timers: Timer,
    private readonly changed: () => void,
    language: string,
  ) {
    this.body = emptyBody(language);
  }

  /** Take the hub's draft, and whatever this browser still holds that the hub never got. */
  begin(draft: Draft): void {
    this.revision = draft.revision;
    const theirs = { ...this.body, ...draft.body };
    const kept = this.kept();
    if (!kept || sameText(kept.body, theirs)) {
      this.body = theirs;
      this.status = draft.at ? { kind: 'saved', at: draft.at } : { kind: 'clean' };
      this.forget();
    } else if (kept.base === draft.revision) {
      this.body = kept.body;
      this.status = { kind: 'kept' };
      this.later(0);
    } else {
      this.body = kept.body;
      this.status = { kind: 'conflict', theirs: draft };
    }
    this.changed();
  }

  edit(change: Partial<Body>): void {
    this.body = { ...this.body, ...change };
    if (this.status.kind !== 'conflict') {
      this.status = { kind: 'kept' };
      this.later(QUIET_MS);
    }
    this.keep();
    this.changed();
  }

  /** Save now; resolves when the hub has the text or has not taken it. */
  async flush(): Promise<void> {
    await this.running;
    if (this.status.kind === 'kept' || this.status.kind === 'failed') {
      this.cancel();
      await this.push();
    }
  }

  /** End a conflict: what is given becomes the next revision after theirs, which the hub keeps. */
  resolve(body: Body): void {
    if (this.status.kind !== 'conflict') {
      return;
    }
    this.revision = this.status.theirs.revision;
    this.body = body;
    this.keep();
    this.status = { kind: 'kept' };
    this.later(0);
    this.changed();
  }

  /** Whether the hub has every word. */
  get settled(): boolean {
    return this.status.kind === 'saved' || this.status.kind === 'clean';
  }

  /** The draft became a report: nothing is to be kept or saved any more. */
  end(): void {
    this.stop();
    this.forget();
    this.status = { kind: 'clean' };
  }

  /** The page goes away: what is not saved stays in the browser's store. */
  stop(): void {
    this.stopped = true;
    this.cancel();
  }

  private async push(): Promise<void> {
    if (this.running) {
      return;
    }
    this.running = this.attempt(this.body);
    await this.running;
    this.running = null;
  }

  private async attempt(sent: Body): Promise<void> {
    try {
      const saved = await this.hub.save(this.revision, sent);
      this.failures = 0;
      this.revision = saved.revision;
      if (this.body === sent) {
        this.status = { kind: 'saved', at: saved.at };
        this.forget();
      } else {
        this.keep();
        this.later(QUIET_MS);
      }
    } catch (error) {
      const theirs = this.hub.stale(error);
      if (theirs) {
        this.status = { kind: 'conflict', theirs };
      } else {
        this.status = { kind: 'failed', why: this.hub.describe(error) };
        this.later(RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)] ?? QUIET_MS);
        this.failures += 1;
      }
    }
    this.changed();
  }

  private later(milliseconds: number): void {
    this.cancel();
    if (this.stopped) {
      return;
    }
    this.timer = this.timers.set(() => {
      this.timer = null;
      void (this.running ? this.running.then(() => this.push()) : this.push());
    }, milliseconds);
  }

  private cancel(): void {
    if (this.timer !== null) {
      this.timers.clear(this.timer);
      this.timer = null;
    }
  }

  private keep(): void {
    const kept: Kept = { base: this.revision, body: this.body };
    this.store.setItem(this.key, JSON.stringify(kept));
  }

  private kept(): Kept | null {
    const text = this.store.getItem(this.key);
    if (text === null) {
      return null;
    }
    try {
      const kept = JSON.parse(text) as Kept;
      return { base: kept.base, body: { ...this.body, ...kept.body } };
    } catch {
      return null;
    }
  }

  // Once the hub has the text, a shared workstation should not hold it any longer.
  private forget(): void {
    this.store.removeItem(this.key);
  }
}
