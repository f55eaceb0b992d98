// Studies that an edge still has something of: how far each is, also those of which nothing is here yet.
import { html, nothing } from 'lit';
import { about, bytes } from '../format.ts';
import { language, t } from '../i18n.ts';
import type { Coming } from '../types.ts';
import { priorityChip } from './priority.ts';

function progress({ received: expected, confirmed: have, eta_seconds: seconds }: Coming): string {
  return seconds === null
    ? t('images.of', { have, expected })
    : t('images.about', { have, expected, span: about(seconds, language()) });
}

export function onTheWay(studies: Coming[]) {
  return studies.length
    ? studies.map(
        (one) => html`<div class="part" data-study=${one.study_uid}>
          ${priorityChip(one.priority)} <span class="numbers">${progress(one)} · ${bytes(one.waiting_bytes)}</span>
          ${one.here === 0 ? html`<span class="chip accent">${t('coming.none')}</span>` : nothing}
          <span class="quiet">${one.study_uid}</span>
        </div>`,
      )
    : '—';
}
