// The report of an earlier study, over the reading view.
import { html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { t } from '../i18n.ts';
import type { Report } from '../types.ts';
import { Dialog } from './dialog.ts';
import './report-view.ts';
import { shared } from './styles.ts';

@customElement('tr-prior-report')
export class PriorReportDialog extends Dialog {
  @state() private report: Report | null = null;
  @state() private failure = '';

  static override styles = shared;

  async load(id: string): Promise<void> {
    this.report = null;
    this.failure = '';
    await this.show();
    try {
      this.report = await api.report(id);
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    return html`<dialog aria-label=${t('prior.report')}>
      ${this.report ? html`<tr-report .report=${this.report}></tr-report>` : nothing}
      ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
      <div class="actions"><button type="button" @click=${() => this.close()}>${t('close')}</button></div>
    </dialog>`;
  }
}
