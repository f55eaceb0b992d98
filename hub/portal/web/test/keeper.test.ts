import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { DraftKeeper, emptyBody, type Hub, QUIET_MS, type Timer } from '../src/draft/keeper.ts';
import type { Body, Draft } from '../src/types.ts';

class Stale extends Error {
  constructor(readonly current: Draft) {
    super('stale');
  }
}

/** A hub that keeps every revision, and can be away. */
class HubInMemory implements Hub {
  revisions: Body[] = [];
  away = false;
  get draft(): Draft {
    const body = this.revisions.at(-1) ?? {};
    return { revision: this.revisions.length, body, author: 'osei', at: this.revisions.length ? 'now' : null };
  }
  async save(base: number, body: Body) {
    if (this.away) throw new Error('the hub is away');
    if (base !== this.revisions.length) throw new Stale(this.draft);
    this.revisions.push(body);
    return { revision: this.revisions.length, at: 'now' };
  }
  stale(error: unknown) {
    return error instanceof Stale ? error.current : null;
  }
  describe(error: unknown) {
    return String(error);
  }
}

class StoreInMemory extends Map<string, string> {
  getItem = (key: string) => this.get(key) ?? null;
  setItem = (key: string, value: string) => void this.set(key, value);
  removeItem = (key: string) => void this.delete(key);
}

/** Time that moves when told. */
class HandTimer implements Timer {
  private jobs = new Map<number, { work: () => void; at: number }>();
  private now = 0;
  private last = 0;
  set(work: () => void, milliseconds: number) {
    this.jobs.set(++this.last, { work, at: this.now + milliseconds });
    return this.last;
  }
  clear(handle: number) {
    this.jobs.delete(handle);
  }
  async pass(milliseconds: number) {
    this.now += milliseconds;
    for (const [handle, job] of [...this.jobs]) {
      if (job.at <= this.now) {
        this.jobs.delete(handle);
        job.work();
      }
    }
    await settle();
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

let hub: HubInMemory;
let store: StoreInMemory;
let timer: HandTimer;

function keeper(): DraftKeeper {
  return new DraftKeeper('draft', store, hub, timer, () => undefined, 'en');
}

beforeEach(() => {
  hub = new HubInMemory();
  store = new StoreInMemory();
  timer = new HandTimer();
});

test('an edit is in the browser at once and at the hub after a pause', async () => {
  const k = keeper();
  k.begin(hub.draft);
  k.edit({ findings: 'a' });
  assert.match(store.getItem('draft') ?? '', /"findings":"a"/);
  await timer.pass(QUIET_MS - 1);
  assert.equal(hub.revisions.length, 0);
  k.edit({ findings: 'ab' });
  await timer.pass(QUIET_MS);
  assert.deepEqual(hub.revisions.map((body) => body.findings), ['ab']);
  assert.equal(k.status.kind, 'saved');
  assert.equal(store.getItem('draft'), null);
});

test('while the hub is away nothing on the screen changes and it is asked again', async () => {
  const k = keeper();
  k.begin(hub.draft);
  hub.away = true;
  k.edit({ findings: 'kept' });
  await timer.pass(QUIET_MS);
  assert.equal(k.status.kind, 'failed');
  assert.equal(k.body.findings, 'kept');
  hub.away = false;
  await timer.pass(60_000);
  assert.equal(k.status.kind, 'saved');
  assert.equal(hub.draft.body.findings, 'kept');
});

test('a closed browser finds its unsaved text again and sends it', async () => {
  const first = keeper();
  first.begin(hub.draft);
  hub.away = true;
  first.edit({ impression: 'bleed' });
  first.stop();
  hub.away = false;
  const second = keeper();
  second.begin(hub.draft);
  assert.equal(second.body.impression, 'bleed');
  await timer.pass(0);
  assert.equal(hub.draft.body.impression, 'bleed');
});

test('a text saved elsewhere meanwhile is a conflict that loses neither', async () => {
  const k = keeper();
  k.begin(hub.draft);
  hub.revisions.push({ ...emptyBody('en'), findings: 'theirs' });
  k.edit({ findings: 'mine' });
  await timer.pass(QUIET_MS);
  assert.equal(k.status.kind, 'conflict');
  assert.equal(k.body.findings, 'mine');
  k.edit({ findings: 'mine, more' });
  await timer.pass(60_000);
  assert.deepEqual(hub.revisions.map((body) => body.findings), ['theirs']);
  k.resolve({ ...k.body, findings: 'both' });
  await timer.pass(0);
  assert.deepEqual(hub.revisions.map((body) => body.findings), ['theirs', 'both']);
});

test('unsaved text on an older revision is a conflict from the start', () => {
  const k = keeper();
  k.begin(hub.draft);
  k.edit({ findings: 'mine' });
  k.stop();
  hub.revisions.push({ ...emptyBody('en'), findings: 'theirs' });
  const again = keeper();
  again.begin(hub.draft);
  assert.equal(again.status.kind, 'conflict');
  assert.equal(again.body.findings, 'mine');
});

test('typing during a save is saved after it', async () => {
  const k = keeper();
  k.begin(hub.draft);
  k.edit({ findings: 'a' });
  const saving = timer.pass(QUIET_MS);
  k.edit({ findings: 'ab' });
  await saving;
  await timer.pass(QUIET_MS);
  assert.deepEqual(hub.revisions.map((body) => body.findings), ['a', 'ab']);
  assert.equal(k.status.kind, 'saved');
});

test('a stopped keeper asks no more', async () => {
  const k = keeper();
  k.begin(hub.draft);
  hub.away = true;
  k.edit({ findings: 'a' });
  k.stop();
  await k.flush();
  hub.away = false;
  await timer.pass(60_000);
  assert.equal(hub.revisions.length, 0);
  assert.match(store.getItem('draft') ?? '', /"findings":"a"/);
});
