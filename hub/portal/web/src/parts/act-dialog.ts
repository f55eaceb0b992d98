// Doing something that cannot be taken back, or that is recorded: what it means, why, and that it is meant.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { t } from '../i18n.ts';
import { Dialog } from './dialog.ts';
import { fields, shared } from './styles.ts';

export interface Act {
  title: string;
  /** What will be, in paragraphs. */
  words: string[];
  /** The words on the button. */
  send: string;
  /** What the field for the reason is called; none: no reason is asked for. */
  reason?: string;
  /** What must be typed to show that it is meant. */
  name?: string;
  grave?: boolean;
  run(reason: string): Promise<void>;
}

@customElement('tr-act')
export class ActDialog extends Dialog {
  @state() private act: Act | null = null;
  @state() private failure = '';
  @state() private busy = false;

  static override styles = [
    shared,
    fields,
    css`
      button.grave {
        background: var(--stat);
        border-color: var(--stat);
        color: var(--ground);
      }
      button.grave:hover:not(:disabled) {
        background: var(--stat);
      }
    `,
  ];

  async ask(act: Act): Promise<void> {
    this.act = act;
    this.failure = '';
    this.renderRoot.querySelector('form')?.reset();
    await this.show();
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    const { act, renderRoot } = this;
    const typed = renderRoot.querySelector('input')?.value.trim() ?? '';
    if (!act || this.busy) {
      return;
    }
    if (act.name && typed !== act.name) {
      this.failure = t('act.mismatch', { name: act.name });
      renderRoot.querySelector('input')?.focus();
      return;
    }
    this.failure = '';
    this.busy = true;
    try {
      await act.run(renderRoot.querySelector('textarea')?.value.trim() ?? '');
      this.close();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
    this.busy = false;
  }

  override render() {
    const { act } = this;
    return html`<dialog aria-labelledby="title" aria-describedby="what">
      ${act
        ? html`<h2 id="title">${act.title}</h2>
            <form @submit=${this.submit}>
              <div id="what" class="notice ${act.grave ? 'bad' : ''}">${act.words.map((words) => html`<p>${words}</p>`)}</div>
              ${act.reason
                ? html`<label>${act.reason}<textarea name="reason" minlength="3" maxlength="500" required autofocus></textarea></label>`
                : nothing}
              ${act.name
                ? html`<label>${t('act.type', { name: act.name })}<input name="name" autocomplete="off" spellcheck="false" required /></label>`
                : nothing}
              ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
              <div class="actions">
                <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
                <button class="main ${act.grave ? 'grave' : ''}" ?disabled=${this.busy}>${act.send}</button>
              </div>
            </form>`
        : nothing}
    </dialog>`;
  }
}
