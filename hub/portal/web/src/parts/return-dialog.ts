// Sending a case back to the site, with the reason in the reader's words.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { t, word } from '../i18n.ts';
import { Dialog } from './dialog.ts';
import { shared } from './styles.ts';

@customElement('tr-return')
export class ReturnDialog extends Dialog {
  @property({ attribute: false }) send!: (reason: string) => Promise<void>;
  @state() private failure = '';
  protected kind: 'return' | 'complete' = 'return'; // whose words

  static override styles = [
    shared,
    css`
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
      await this.send(this.renderRoot.querySelector('textarea')?.value.trim() ?? '');
      this.close();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title">
      <h2 id="title">${word(this.kind, 'title')}</h2>
      <form @submit=${this.submit}>
        <label>${word(this.kind, 'reason')}<textarea name="reason" required></textarea></label>
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
        <div class="actions">
          <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
          <button class="main">${word(this.kind, 'send')}</button>
        </div>
      </form>
    </dialog>`;
  }
}
