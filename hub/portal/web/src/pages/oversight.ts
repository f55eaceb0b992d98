// Who broke the glass, for which study, and why: for leads and auditors.
import { html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import { scrolling, shared } from '../parts/styles.ts';
import { instead, list, listStyles } from '../parts/table.ts';
import type { EmergencyAccess } from '../types.ts';

@customElement('tr-oversight')
export class Oversight extends Localised {
  @state() private found: EmergencyAccess[] | null = null;
  @state() private failure = '';

  static override styles = [shared, scrolling, listStyles];

  override async firstUpdated(): Promise<void> {
    try {
      this.found = (await api.emergencies()).emergencies;
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    if (!this.found?.length) {
      return instead(this.failure, this.found ? t('admin.none') : t('loading'));
    }
    const columns = [t('audit.at'), t('audit.person'), t('audit.study'), t('glass.reason')];
    return list(columns, this.found.map((one) => this.row(one)));
  }

  private row(one: EmergencyAccess) {
    return html`<tr>
      <td class="numbers">
        ${moment(one.at)}<br />
        ${one.open ? html`<span class="chip urgent">${t('glass.until', { until: moment(one.until) })}</span>` : nothing}
      </td>
      <td>${one.user.display_name}</td>
      <td class="wide">${one.site} ${one.accession}<br /><span class="quiet numbers">${one.study_uid}</span></td>
      <td class="wide">${one.reason}</td>
    </tr>`;
  }
}
