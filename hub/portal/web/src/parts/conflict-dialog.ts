// Two people changed one draft: both texts side by side, and nothing is thrown away without a decision.
import { css, html } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { emptyBody } from '../draft/keeper.ts';
import { differing, join } from '../draft/join.ts';
import { moment } from '../format.ts';
import { language, t } from '../i18n.ts';
import type { Body, Draft } from '../types.ts';
import { Dialog } from './dialog.ts';
import { shared } from './styles.ts';

@customElement('tr-conflict')
export class ConflictDialog extends Dialog {
  @property({ attribute: false }) mine: Body = emptyBody(language());
  @property({ attribute: false }) theirs: Draft | null = null;

  static override styles = [
    shared,
    css`
      .pair {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.8rem;
        margin: 0.8rem 0;
      }
      .text {
        min-height: 3rem;
        padding: 0.6rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      h3 {
        font-size: 0.86rem;
        color: var(--quiet);
      }
    `,
  ];

  private get other(): Body {
    return { ...emptyBody(this.mine.language), ...this.theirs?.body };
  }

  private decide(body: Body): void {
    this.close();
    this.dispatchEvent(new CustomEvent<Body>('decided', { detail: body }));
  }

  override render() {
    const by = this.theirs?.author ?? '—';
    const at = this.theirs?.at ? moment(this.theirs.at) : '';
    return html`<dialog @cancel=${(event: Event) => event.preventDefault()} aria-labelledby="title">
      <h2 id="title">${t('conflict.title')}</h2>
      <p>${t('conflict.how', { by, at })}</p>
      ${(this.theirs ? differing(this.mine, this.other) : []).map(
        (section) => html`<section class="pair">
          <div>
            <h3>${t(`section.${section}`)} — ${t('conflict.mine')}</h3>
            <div class="text" data-text="mine">${this.mine[section]}</div>
          </div>
          <div>
            <h3>${t(`section.${section}`)} — ${by}</h3>
            <div class="text" data-text="theirs">${this.other[section]}</div>
          </div>
        </section>`,
      )}
      <div class="actions">
        <button type="button" @click=${() => this.decide(this.other)}>${t('conflict.take')}</button>
        <button type="button" @click=${() => this.decide(this.mine)}>${t('conflict.keep')}</button>
        <button type="button" class="main" autofocus @click=${() => this.decide(join(this.mine, this.other))}>
          ${t('conflict.join')}
        </button>
      </div>
    </dialog>`;
  }
}
