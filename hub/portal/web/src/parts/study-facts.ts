// What is known about the study besides its images: the question, earlier studies, series, why this reader.
import { css, html, nothing } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { day } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import type { CaseDetail, Prior } from '../types.ts';
import { images } from './case-row.ts';
import { modalityChip } from './modality.ts';
import { shared } from './styles.ts';

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
      <details>
        <summary>${t('facts.why')}</summary>
        <ul>
          ${why.map((reason) => html`<li>${reason}</li>`)}
        </ul>
      </details>
      <p><button type="button" @click=${() => this.tell('show-custody', '')}>${t('custody.show')}…</button></p>
    `;
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
