// The priority of a case: always a word, the colour only helps.
import { html } from 'lit';
import { word } from '../i18n.ts';
import type { Priority } from '../types.ts';

export function priorityChip(priority: Priority) {
  return html`<span class="chip ${priority}">${word('priority', priority)}</span>`;
}
