// Asking the site for more: what kind of thing, and why, in the reader's words. The case waits there.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { t, word } from '../i18n.ts';
import { Dialog } from './dialog.ts';
import { shared } from './styles.ts';

const NEEDS = ['images', 'quality', 'question', 'other'] as const;

@customElement('tr-return')
export class ReturnDialog extends Dialog {
  @property({ attribute: false }) send!: (reason: string, need: string) => Promise<void>;
  @state() private failure = '';
  protected kind: 'return' | 'complete' = 'return'; // whose words

  static override styles = [
    shared,
    css`
      select {
        width: 100%;
        margin: 0.25rem 0 0.8rem;
      }
      textarea {
        width: 100%;
        min-height: 6rem;
        margin-top: 0.25rem;
      }
    `,
  ];

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    try {
      const reason = this.renderRoot.querySelector('textarea')?.value.trim() ?? '';
      await this.send(reason, this.renderRoot.querySelector('select')?.value ?? 'other');
      this.close();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private need() {
    return html`<label>${t('return.need')}<select name="need">
        ${NEEDS.map((need) => html`<option value=${need}>${word('need', need)}</option>`)}
      </select></label>`;
  }

  override render() {
    return html`<dialog aria-labelledby="title">
      <h2 id="title">${word(this.kind, 'title')}</h2>
      <form @submit=${this.submit}>
        ${this.kind === 'return' ? this.need() : nothing}
        <label>${word(this.kind, 'reason')}<textarea name="reason" required maxlength="2000"></textarea></label>
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
        <div class="actions">
          <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
          <button class="main">${word(this.kind, 'send')}</button>
        </div>
      </form>
    </dialog>`;
  }
}
