// Breaking the glass: a study beyond one's reach, opened with a reason, for a time, and seen by others.
import { html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { t } from '../i18n.ts';
import { go } from '../route.ts';
import { Dialog } from './dialog.ts';
import { fields, shared } from './styles.ts';

@customElement('tr-glass')
export class GlassDialog extends Dialog {
  @state() private failure = '';
  @state() private told = '';

  static override styles = [shared, fields];

  override async show(): Promise<void> {
    this.failure = '';
    this.told = '';
    this.renderRoot.querySelector('form')?.reset();
    await super.show();
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    this.failure = '';
    const study = this.renderRoot.querySelector('input')?.value.trim() ?? '';
    const reason = this.renderRoot.querySelector('textarea')?.value.trim() ?? '';
    try {
      const opened = await api.breakGlass(study, reason);
      if (opened.case === null) {
        this.told = t('glass.nocase', { until: moment(opened.until) });
        return;
      }
      this.close();
      go({ page: 'case', id: opened.case });
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title">
      <h2 id="title">${t('glass.title')}</h2>
      <form @submit=${this.submit}>
        <p class="notice warn">${t('glass.why')}</p>
        <label>${t('glass.study')}<input name="study" autocomplete="off" maxlength="128" required autofocus /></label>
        <label>${t('glass.reason')}<textarea name="reason" minlength="10" maxlength="1000" required></textarea></label>
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
        ${this.told ? html`<p class="notice" role="status">${this.told}</p>` : nothing}
        <div class="actions">
          <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
          <button class="main">${t('glass.open')}</button>
        </div>
      </form>
    </dialog>`;
  }
}
