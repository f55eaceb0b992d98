// Who broke the glass, for which study, and why: for leads and auditors.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import { caseRowStyles } from '../parts/case-row.ts';
import { shared } from '../parts/styles.ts';
import type { EmergencyAccess } from '../types.ts';

@customElement('tr-oversight')
export class Oversight extends Localised {
  @state() private found: EmergencyAccess[] | null = null;
  @state() private failure = '';

  static override styles = [
    shared,
    caseRowStyles,
    css`
      :host {
        display: block;
        height: 100%;
        overflow: auto;
      }
      tbody tr {
        cursor: default;
      }
      th {
        padding: 0.5rem 0.6rem;
        color: var(--quiet);
      }
      td {
        vertical-align: top;
        overflow-wrap: anywhere;
      }
    `,
  ];

  override async firstUpdated(): Promise<void> {
    try {
      this.found = (await api.emergencies()).emergencies;
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    if (this.failure) {
      return html`<p class="notice bad" role="alert">${this.failure}</p>`;
    }
    if (!this.found?.length) {
      return html`<p class="quiet" role="status">${this.found ? t('admin.none') : t('loading')}</p>`;
    }
    return html`<table>
      <thead>
        <tr>
          <th scope="col">${t('audit.at')}</th>
          <th scope="col">${t('audit.person')}</th>
          <th scope="col">${t('audit.study')}</th>
          <th scope="col">${t('glass.reason')}</th>
        </tr>
      </thead>
      <tbody>
        ${this.found.map(
          (one) => html`<tr>
            <td class="numbers">
              ${moment(one.at)}<br />
              ${one.open ? html`<span class="chip urgent">${t('glass.until', { until: moment(one.until) })}</span>` : nothing}
            </td>
            <td>${one.user.display_name}</td>
            <td>${one.site} ${one.accession}<br /><span class="quiet numbers">${one.study_uid}</span></td>
            <td>${one.reason}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
  }
}
