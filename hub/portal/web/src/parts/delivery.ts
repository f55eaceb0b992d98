// The way of a signed report back to the hospital: signed → fetched → verified → delivered, each with its time.
import { css, html, nothing } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { clock } from '../format.ts';
import { Localised, t, word } from '../i18n.ts';
import type { Outcome, Report } from '../types.ts';
import { shared } from './styles.ts';

const STEPS = ['signed', 'fetched', 'verified', 'delivered'] as const;
type Step = (typeof STEPS)[number];

@customElement('tr-delivery')
export class DeliveryLine extends Localised {
  @property({ attribute: false }) report!: Report;

  static override styles = [
    shared,
    css`
      ol {
        display: flex;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li.step {
        flex: 1;
        padding-top: 1.1rem;
        position: relative;
        color: var(--quiet);
        font-size: 0.9rem;
      }
      li.step::before {
        content: '';
        position: absolute;
        top: 0.2rem;
        left: 0;
        z-index: 1;
        width: 0.7rem;
        height: 0.7rem;
        border-radius: 50%;
        border: 2px solid var(--line);
        background: var(--surface);
      }
      li.step::after {
        content: '';
        position: absolute;
        top: 0.5rem;
        left: 0.7rem;
        right: 0;
        height: 2px;
        background: var(--line);
      }
      li.step:last-child::after {
        display: none;
      }
      li.done {
        color: var(--text);
      }
      li.done::before {
        background: var(--good);
        border-color: var(--good);
      }
      li.done::after {
        background: var(--good);
      }
      time {
        display: block;
        color: var(--quiet);
      }
      ul {
        margin: 0.7rem 0 0;
        padding: 0;
        list-style: none;
        overflow-wrap: anywhere;
      }
      ul > li + li {
        margin-top: 0.35rem;
      }
    `,
  ];

  private at(step: Step): string | null {
    const { delivery, signed_at: signedAt } = this.report;
    const landed = delivery?.outcomes.find((outcome) => outcome.outcome === 'delivered')?.at ?? null;
    // The hospital verifies before it delivers: its signed acknowledgement says both.
    const verified = delivery?.acknowledged_at ?? (delivery?.state === 'verified' ? delivery.fetched_at : null);
    return { signed: signedAt, fetched: delivery?.fetched_at ?? null, verified, delivered: landed ?? verified }[step];
  }

  override render() {
    const { delivery } = this.report;
    return html`
      <ol aria-label=${t('delivery.label')}>
        ${STEPS.map((step) => {
          const at = this.at(step);
          return html`<li class="step ${at ? 'done' : ''}">
            ${t(`step.${step}`)}${at ? html`<time class="numbers" datetime=${at}>${clock(at)}</time>` : nothing}
          </li>`;
        })}
      </ol>
      ${delivery?.state === 'refused'
        ? html`<p class="notice bad" role="alert">${t('delivery.refused')} ${delivery.reason ?? ''}</p>`
        : nothing}
      <ul aria-live="polite">
        ${delivery?.outcomes.map((outcome) => this.outcome(outcome))}
      </ul>
    `;
  }

  private outcome(outcome: Outcome) {
    const tone = { delivered: 'good', refused: 'stat' }[outcome.outcome] ?? 'urgent';
    return html`<li>
      <span class="chip ${tone}">${word('outcome', outcome.outcome)}</span>
      ${word('kind', outcome.kind)} <strong>${outcome.destination}</strong>
      <span class="quiet numbers">${clock(outcome.at)} ${outcome.detail}</span>
    </li>`;
  }
}
