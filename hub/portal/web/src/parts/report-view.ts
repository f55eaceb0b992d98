// A signed report as text, with who signed it, its PDF and its way back.
import { css, html, nothing } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { SECTIONS } from '../draft/join.ts';
import { moment } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import type { Report } from '../types.ts';
import './delivery.ts';
import { shared } from './styles.ts';

@customElement('tr-report')
export class ReportView extends Localised {
  @property({ attribute: false }) report!: Report;

  static override styles = [
    shared,
    css`
      article {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 0.7rem;
        padding: 0.9rem;
        border: 1px solid var(--line);
        border-radius: 10px;
        background: var(--surface);
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        justify-content: space-between;
        gap: 0.4rem;
      }
      h3 {
        font-size: 0.82rem;
        font-weight: 600;
        color: var(--quiet);
      }
      .text {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      code {
        font-size: 0.78rem;
        overflow-wrap: anywhere;
      }
    `,
  ];

  override render() {
    const { body, kind, signed_by: by, signed_at: at, pdf, pdf_sha256: digest } = this.report;
    return html`<article>
      <header>
        <h2>${t(`report.${kind}`)}</h2>
        <a href=${pdf} target="_blank" rel="noopener">${t('report.pdf')}</a>
      </header>
      <p class="quiet">${t('report.signed', { name: by.display_name, at: moment(at) })}</p>
      ${body.critical ? html`<p class="notice bad">${t('section.critical')}</p>` : nothing}
      ${SECTIONS.filter((section) => body[section]).map(
        (section) => html`<section><h3>${t(`section.${section}`)}</h3><p class="text">${body[section]}</p></section>`,
      )}
      ${this.report.delivery ? html`<tr-delivery .report=${this.report}></tr-delivery>` : nothing}
      <code class="quiet" title=${t('report.digest')}>SHA-256 ${digest}</code>
    </article>`;
  }
}
