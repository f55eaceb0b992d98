// The paper on which an enrolment code goes to a hospital: what to do there, the code, and the same as QR.
import { css, html, LitElement } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { moment } from '../format.ts';
import { t } from '../i18n.ts';
import type { Invited } from '../types.ts';
import './qr.ts';

export const command = (code: string): string => `telerad edge enroll -c edge.yaml ${code}`;

@customElement('tr-sheet')
export class CodeSheet extends LitElement {
  @property({ attribute: false }) made!: Invited;

  static override styles = css`
    :host {
      font: 11pt/1.5 var(--font);
      color: #000;
      background: #fff;
    }
    h1 {
      margin: 0 0 0.2em;
      font-size: 20pt;
    }
    header {
      display: flex;
      justify-content: space-between;
      align-items: start;
      gap: 2em;
    }
    dl {
      display: grid;
      grid-template-columns: max-content 1fr;
      gap: 0.3em 1.5em;
      margin: 1em 0;
    }
    dt {
      color: #444;
    }
    dd {
      margin: 0;
      font-weight: 600;
    }
    code {
      font: 0.95em ui-monospace, 'DejaVu Sans Mono', monospace;
    }
    .code {
      margin: 1.5em 0;
      padding: 0.8em 1em;
      border: 1pt solid #000;
      border-radius: 6pt;
      font: 15pt/1.8 ui-monospace, 'DejaVu Sans Mono', monospace;
      overflow-wrap: anywhere;
    }
    li {
      margin: 0.5em 0;
    }
    li code {
      display: block;
    }
    footer {
      margin-top: 2em;
      padding-top: 0.8em;
      border-top: 1pt solid #888;
      color: #444;
    }
  `;

  override render() {
    const { code, site, edge, hub, expires_at: until } = this.made;
    return html`
      <header>
        <div>
          <h1>${t('sheet.title', { site })}</h1>
          <dl>
            <dt>${t('fleet.site')}</dt>
            <dd>${site}</dd>
            <dt>${t('fleet.number')}</dt>
            <dd>${edge ?? t('code.next')}</dd>
            <dt>${t('sheet.hub')}</dt>
            <dd>${hub}</dd>
            <dt>${t('code.until')}</dt>
            <dd>${moment(until)}</dd>
          </dl>
        </div>
        <tr-qr .text=${code} .label=${t('code.qr')}></tr-qr>
      </header>
      <ol>
        <li>${t('sheet.one')}</li>
        <li>${t('sheet.two')} <code>${command('…')}</code></li>
        <li>${t('sheet.three')} <code>telerad edge run -c edge.yaml</code></li>
      </ol>
      <p class="code">${code}</p>
      <footer>${t('sheet.care')}</footer>
    `;
  }
}

/** No sheet is left in the page. */
export function removeSheet(): void {
  document.querySelectorAll('tr-sheet').forEach((sheet) => sheet.remove());
}

/** Print the sheet of a code; nothing of it stays in the page. */
export async function printSheet(made: Invited): Promise<void> {
  removeSheet();
  const sheet = document.createElement('tr-sheet') as CodeSheet;
  sheet.made = made;
  document.body.append(sheet);
  await sheet.updateComplete;
  window.addEventListener('afterprint', removeSheet, { once: true });
  window.print();
}
