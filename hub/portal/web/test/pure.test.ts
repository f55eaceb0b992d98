import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differing, join } from '../src/draft/join.ts';
import { emptyBody } from '../src/draft/keeper.ts';
import { about, age, begun, begunAt, bytes, day, personName, span } from '../src/format.ts';
import { parseRoute, toHash } from '../src/route.ts';
import type { Case } from '../src/types.ts';
import { arrange } from '../src/worklist-order.ts';

test('names read as their readers write them', () => {
  assert.equal(personName('Phantom^Head=幻影^头', 'en'), 'Phantom, Head 幻影头');
  assert.equal(personName('Phantom^Head=幻影^头', 'zh'), '幻影头 Phantom, Head');
  assert.equal(personName('Single', 'en'), 'Single');
  assert.equal(personName('', 'en'), '—');
});

test('ages are in the unit that matters', () => {
  assert.deepEqual(age('19580214', '20261122'), { number: 68, unit: 'years' });
  assert.deepEqual(age('2024-11-23', '2026-11-22'), { number: 23, unit: 'months' });
  assert.deepEqual(age('20261101', '20261122'), { number: 21, unit: 'days' });
  assert.equal(age('', '20261122'), null);
  assert.equal(age('20270101', '20261122'), null);
});

test('days and spans', () => {
  assert.equal(day('20260105'), '2026-01-05');
  assert.equal(day('2026-01-05'), '2026-01-05');
  assert.equal(day('1997.04.24'), '1997-04-24');
  assert.equal(day(null), '—');
  assert.equal(span(38 * 60_000), '38 min');
  assert.equal(span(-125 * 60_000), '2:05 h');
  assert.equal(span(3 * 86_400_000), '3 d');
  assert.equal(span(38 * 60_000, 'zh'), '38 分钟');
});

test('a study began by the clock of its place, and at a moment where that is known', () => {
  assert.equal(begun('20260105', '140359.12', '+0800'), '2026-01-05 14:03 UTC+08:00');
  assert.equal(begun('20260105', '1403', ''), '2026-01-05 14:03');
  assert.equal(begun('20260105', '', '+0800'), '2026-01-05');
  assert.equal(begun(null, null, undefined), '—');
  assert.equal(Date.parse(begunAt('20260105', '140359', '+0545')), Date.parse('2026-01-05T08:18:00Z'));
  for (const unknown of [begunAt('20260105', '1403', ''), begunAt('20260105', '', '+0800'), begunAt('', '1403', '+0800')]) {
    assert.equal(unknown, '');
  }
});

test('a time to come is told roughly', () => {
  assert.deepEqual([0, 4, 41, 59, 61, 250, 7300].map((seconds) => about(seconds)), ['10 s', '10 s', '50 s', '1 min', '1 min', '4 min', '2:02 h']);
  assert.equal(about(250, 'zh'), '4 分钟');
});

test('amounts of bytes have three digits', () => {
  assert.deepEqual([0, 999, 2624, 78_777_634_816, 5e15].map(bytes), ['0 B', '999 B', '2.62 kB', '78.8 GB', '5000 TB']);
});

test('addresses and places are the same thing', () => {
  for (const hash of ['#/', '#/case/12', '#/admin/rules']) {
    assert.equal(toHash(parseRoute(hash)), hash);
  }
  assert.deepEqual(parseRoute('#/case/<img>'), { page: 'worklist' });
  assert.deepEqual(parseRoute('#/admin/../../x'), { page: 'admin', table: 'edges' });
});

function made(id: number, priority: Case['priority'], deadline: string | null, extra: Partial<Case> = {}): Case {
  return {
    id, priority, deadline, state: 'assigned', study_uid: '', patient: { name: `N${id}^A`, id: '', birth_date: '', sex: '' },
    site: 'H1', modalities: ['CT'], body_parts: [], description: '', study_date: '', study_time: '', accession: '', instances: 1,
    expected: 1, series: 1, complete: true, completeness: '', received_at: `2026-01-0${id}`, group: '', assignee: null, rule: '',
    conflicts: 0, report: null, ...extra,
  };
}

test('the worklist puts first what is most urgent and due first', () => {
  const cases = [made(1, 'routine', '2026-01-01'), made(2, 'stat', null), made(3, 'stat', '2026-01-09'), made(4, 'urgent', null)];
  const ids = (order: Case[]) => order.map((item) => item.id);
  assert.deepEqual(ids(arrange(cases, 'open', '', { column: 'priority', descending: false })), [3, 2, 4, 1]);
  assert.deepEqual(ids(arrange(cases, 'open', '', { column: 'waiting', descending: false })), [4, 3, 2, 1]);
  assert.deepEqual(ids(arrange(cases, 'open', 'n4 ct', { column: 'priority', descending: false })), [4]);
  assert.deepEqual(ids(arrange(cases, 'reported', '', { column: 'priority', descending: false })), []);
});

test('joining keeps every word of both', () => {
  const mine = { ...emptyBody('en'), findings: 'mine', impression: 'same' };
  const theirs = { ...emptyBody('en'), findings: 'theirs', impression: 'same', critical: true };
  assert.deepEqual(differing(mine, theirs), ['findings']);
  const both = join(mine, theirs);
  assert.match(both.findings, /mine[^]*theirs/);
  assert.equal(both.impression, 'same');
  assert.equal(both.critical, true);
});
