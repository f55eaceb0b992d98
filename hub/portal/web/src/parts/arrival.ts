// How much of a study is here, how long the rest will take, and what was noticed about it.
import { html, nothing } from 'lit';
import { about, bytes } from '../format.ts';
import { language, t, word } from '../i18n.ts';
import type { Case, Noticed } from '../types.ts';

const FRESH_MS = 3 * 60_000; // an older word says nothing about how long it will still take

/** Seconds until all of a study is here; null if nobody knows. */
export function left(item: Case, now: number): number | null {
  const { progress } = item;
  if (!progress || progress.eta_seconds === null) {
    return null;
  }
  const since = now - Date.parse(progress.told_at);
  return since > FRESH_MS ? null : Math.max(0, progress.eta_seconds - since / 1000);
}

/** How many images are there, of how many if that is known, and about how long until the rest is. */
export function images(item: Case, now = Date.now()): string {
  const have = item.instances;
  const expected = item.expected ?? 0;
  if (expected <= have) {
    return t(have === 1 ? 'images.one' : 'images.count', { have });
  }
  const seconds = left(item, now);
  return seconds === null ? t('images.of', { have, expected }) : t('images.about', { have, expected, span: about(seconds, language()) });
}

export function arrival(item: Case, now: number) {
  const expected = item.expected ?? 0;
  const said = images(item, now);
  const coming = item.arrival === 'arriving' || item.arrival === 'reopened';
  const rate = left(item, now) === null ? 0 : item.progress?.rate;
  return html`${said}${rate ? html` <span class="quiet" data-rate>${bytes(rate)}/s</span>` : nothing}${coming ? html` <span class="chip accent" data-arrival>${word('arrival', item.arrival ?? '')}</span>` : nothing}${expected > item.instances
    ? html`<progress max=${expected} value=${item.instances} aria-label=${said}></progress>`
    : nothing}${item.conflicts ? html`<span class="chip urgent" data-conflicts>${t('conflicts', { number: item.conflicts })}</span>` : nothing}${badge(item)}`;
}

/** One warning in a few words, and how many more there are; notes are for who opens the case. */
function badge(item: Case) {
  const [first, ...more] = (item.warnings ?? []).filter(({ severity }) => severity === 'warning');
  if (!first) {
    return nothing;
  }
  const all = [first, ...more].map(sentence).join(' ');
  return html`<span class="chip urgent" data-noticed title=${all}>${word('noticed', first.kind)}${more.length ? ` +${more.length}` : ''}</span>`;
}

/** What was noticed, as a sentence; the key itself if this portal is older than the edge. */
export function sentence({ kind, parameters }: Noticed): string {
  return word('quality', kind, parameters);
}
