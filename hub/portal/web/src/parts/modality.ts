// The modalities of a study, nothing at all if it names none.
import { html, nothing } from 'lit';

export function modalityChip(modalities: readonly string[]) {
  const named = modalities.filter(Boolean).join(' ');
  return named ? html`<span class="chip accent">${named}</span>` : nothing;
}
