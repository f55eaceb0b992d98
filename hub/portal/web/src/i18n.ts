// The portal's words in the reader's language. Every key is in both files (a test holds that).
import { LitElement } from 'lit';
import en from './i18n/en.json';
import zh from './i18n/zh.json';

export type Key = keyof typeof en;
export type Language = 'en' | 'zh';

export const LANGUAGES: Record<Language, string> = { en: 'English', zh: '中文' };
const WORDS: Record<Language, Record<Key, string>> = { en, zh };
const REMEMBERED = 'telerad.language';

let current: Language = initial();
const waiting = new Set<() => void>();

function known(name: string | null | undefined): Language | null {
  const short = name?.slice(0, 2);
  return short === 'zh' || short === 'en' ? short : null;
}

function initial(): Language {
  return known(localStorage.getItem(REMEMBERED)) ?? known(navigator.language) ?? 'en';
}

export function language(): Language {
  return current;
}

export function setLanguage(name: string): void {
  current = known(name) ?? 'en';
  localStorage.setItem(REMEMBERED, current);
  document.documentElement.lang = current;
  for (const update of waiting) {
    update();
  }
}

/** The words of a key, with `{name}` filled in. */
export function t(key: Key, given: Record<string, string | number> = {}): string {
  return WORDS[current][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(given[name] ?? whole));
}

/** The words for one value of an open set (`state.reading`); the value itself if we have no word for it. */
export function word(kind: string, value: string, given: Record<string, string | number> = {}): string {
  const key = `${kind}.${value}`;
  return key in WORDS[current] ? t(key as Key, given) : value;
}

/** A component that draws itself anew when the language changes. */
export class Localised extends LitElement {
  private readonly redraw = (): void => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    waiting.add(this.redraw);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    waiting.delete(this.redraw);
  }
}
