// What is known about the study besides its images: the question, earlier studies, series, why this reader.
import { css, html, nothing } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { begun, begunAt, day, moment } from '../format.ts';
import { Localised, t, word } from '../i18n.ts';
import type { CaseDetail, Change, Noticed, Prior } from '../types.ts';
import { images, sentence } from './arrival.ts';
import { modalityChip } from './modality.ts';
import { shared } from './styles.ts';

/** Which series changed, and how. */
export function changeWords({ number, modality, description, before, now }: Change): string {
  const series = `${number ?? '—'} ${modality} ${description}`.trim();
  return before ? t('changes.grew', { series, before, now }) : t('changes.new', { series, now });
}

@customElement('tr-facts')
export class StudyFacts extends Localised {
  @property({ attribute: false }) detail!: CaseDetail;

  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        gap: 0.7rem;
      }
      .question {
        padding: 0.7rem 0.9rem;
        border-left: 3px solid var(--accent);
        border-radius: 0 var(--radius) var(--radius) 0;
        background: var(--raised);
      }
      .question p {
        font-size: 1.02rem;
        color: var(--strong);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      h2 {
        font-size: 0.86rem;
        color: var(--quiet);
      }
      ul {
        margin: 0.2rem 0 0;
        padding: 0;
        list-style: none;
      }
      li.prior {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        padding: 0.15rem 0;
      }
      li.prior span:nth-child(3) {
        flex: 1;
      }
      li.noticed {
        padding: 0.15rem 0;
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 0.1rem 0.7rem;
        margin: 0.2rem 0 0.5rem;
      }
      dt {
        color: var(--quiet);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
      li button {
        padding: 0.1rem 0.5rem;
        font-size: 0.86rem;
      }
      summary {
        cursor: pointer;
        font-size: 0.86rem;
        font-weight: 600;
        color: var(--quiet);
      }
      details ul {
        padding-left: 0.2rem;
        font-size: 0.92rem;
      }
    `,
  ];

  override render() {
    const { clinical_question: question, priors, series_list: series, why } = this.detail;
    return html`
      <section class="question">
        <h2>${t('section.clinical_question')}</h2>
        <p>${question || t('question.none')}</p>
      </section>
      ${this.origin()} ${this.noticed(this.detail.quality ?? [])} ${this.changes(this.detail.changes ?? [])}
      <section>
        <h2>${t('prior.title', { number: priors.length })}</h2>
        <ul>
          ${priors.map((prior) => this.prior(prior))}
        </ul>
      </section>
      <details>
        <summary>${t('facts.series', { number: series.length })} · ${images(this.detail)}</summary>
        <ul>
          ${series.map(
            (item) => html`<li>
              ${modalityChip([item.modality])} ${item.description || '—'}
              <span class="quiet numbers">${item.instances}</span>
            </li>`,
          )}
        </ul>
      </details>
      ${this.taken()}
      <details>
        <summary>${t('facts.why')}</summary>
        <ul>
          ${why.map((reason) => html`<li>${reason}</li>`)}
        </ul>
      </details>
      <p><button type="button" @click=${() => this.tell('show-custody', '')}>${t('custody.show')}…</button></p>
    `;
  }

  private named(uid: string): string {
    const found = this.detail.series_list.find(({ series_uid }) => series_uid === uid);
    return found ? `${found.modality} ${found.description}`.trim() : '';
  }

  /** Where and when it was taken: by the clock of the place, and by the reader's own where they differ. */
  private origin() {
    const { study_date: date, study_time: time, utc_offset: offset, institution } = this.detail;
    const at = begunAt(date, time, offset);
    const there = begun(date, time, offset);
    const here = at ? moment(at) : '';
    return html`<dl class="origin">
      <dt>${t('facts.begun')}</dt>
      <dd class="numbers">
        ${there} ${here && !there.startsWith(here) ? html`<span class="quiet">${t('facts.here', { at: here })}</span>` : nothing}
      </dd>
      ${institution ? html`<dt>${t('facts.institution')}</dt><dd>${institution}</dd>` : nothing}
    </dl>`;
  }

  private noticed(warnings: Noticed[]) {
    return warnings.length
      ? html`<section class="noticed-list">
          <h2>${t('quality.title', { number: warnings.length })}</h2>
          <ul>
            ${warnings.map(
              (one) => html`<li class="noticed">
                <span class="chip ${one.severity === 'warning' ? 'urgent' : ''}">${word('severity', one.severity)}</span>
                ${sentence(one)} <span class="quiet">${this.named(one.series_uid)}</span>
              </li>`,
            )}
          </ul>
        </section>`
      : nothing;
  }

  private changes(changes: Change[]) {
    return changes.length
      ? html`<section class="changes">
          <h2>${t('changes.title')}</h2>
          <ul>
            ${changes.map((one) => html`<li>${changeWords(one)} <span class="quiet numbers">${moment(one.at)}</span></li>`)}
          </ul>
        </section>`
      : nothing;
  }

  private taken() {
    const all = this.detail.acquisition ?? [];
    return all.length
      ? html`<details class="taken">
          <summary>${t('taken.title')}</summary>
          ${all.map(
            ({ series_uid: uid, parameters }) => html`<h2>${this.named(uid)}</h2>
              <dl>${Object.entries(parameters).map(([name, value]) => html`<dt>${word('taken', name)}</dt><dd class="numbers">${value}</dd>`)}</dl>`,
          )}
        </details>`
      : nothing;
  }

  private tell(name: 'compare' | 'read-prior' | 'show-custody', value: string): void {
    this.dispatchEvent(new CustomEvent<string>(name, { detail: value }));
  }

  private prior(prior: Prior) {
    const when = day(prior.study_date);
    return html`<li class="prior">
      <span class="numbers">${when}</span>
      <span>${modalityChip(prior.modalities)}</span>
      <span>${prior.description || '—'}</span>
      ${prior.report_id
        ? html`<button type="button" aria-label="${t('prior.report')} ${when}" @click=${() => this.tell('read-prior', prior.report_id ?? '')}>${t('prior.report')}</button>`
        : nothing}
      <button type="button" aria-label="${t('prior.compare')} ${when}" @click=${() => this.tell('compare', prior.study_uid)}>
        ${t('prior.compare')}
      </button>
    </li>`;
  }
}
