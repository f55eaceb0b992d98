// The edges: how each stands, and letting them in, back in and out.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api, type By } from '../api.ts';
import { listen } from '../events.ts';
import { moment } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import type { ActDialog } from '../parts/act-dialog.ts';
import '../parts/act-dialog.ts';
import { cellStyles } from '../parts/cells.ts';
import type { CodeDialog } from '../parts/code-dialog.ts';
import '../parts/code-dialog.ts';
import { digitsOf, edgeRow, edgeRowStyles, nameOf } from '../parts/edge-row.ts';
import { shared } from '../parts/styles.ts';
import { instead, list, listStyles } from '../parts/table.ts';
import type { Edge, EdgeReturn, Fleet, UnusedCode } from '../types.ts';

const REFRESH_MS = 15_000;

const codeFor = ({ site, edge }: UnusedCode): string => (edge ? `${site}/${edge}` : site);

@customElement('tr-fleet')
export class FleetPage extends Localised {
  @property({ type: Boolean }) acts = false; // or only to look at
  @state() private fleet: Fleet | null = null;
  @state() private failure = '';
  private ends: (() => void)[] = [];

  static override styles = [
    shared,
    listStyles,
    cellStyles,
    edgeRowStyles,
    css`
      :host {
        display: grid;
        grid-template: auto minmax(0, 1fr) / minmax(0, 1fr);
        gap: 0.8rem;
        height: 100%;
        min-height: 0;
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.5rem 1rem;
        min-height: 2.2rem;
      }
      .head ul {
        display: flex;
        flex: 1;
        flex-wrap: wrap;
        gap: 0.4rem;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      .head li {
        display: flex;
        align-items: center;
        gap: 0.3rem;
      }
      .soon {
        color: var(--urgent);
        font-weight: 600;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    const again = (): void => void this.look('page');
    const timer = window.setInterval(again, REFRESH_MS);
    this.ends = [listen('worklist', again), listen('alert', again), () => window.clearInterval(timer)];
    void this.look('person');
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.ends.forEach((end) => end());
  }

  private async look(by: By): Promise<void> {
    try {
      this.fleet = await api.fleet(by);
      this.failure = '';
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private get dialog(): ActDialog | null {
    return this.renderRoot.querySelector<ActDialog>('tr-act');
  }

  private revoke(edge: Edge): void {
    const name = nameOf(edge);
    void this.dialog?.ask({
      title: t('revoke.title', { name }),
      words: [t('revoke.what'), t('revoke.held')],
      reason: t('revoke.reason'),
      name,
      send: t('revoke.send'),
      grave: true,
      run: async (reason) => {
        await api.revokeEdge(edge.site, edge.edge, reason);
        await this.look('page');
      },
    });
  }

  private decide(edge: Edge, request: EdgeReturn, approve: boolean): void {
    const name = nameOf(edge);
    const several = edge.returns.filter((one) => one.decision === 'asked').length > 1;
    const which = t('let.which', { since: moment(request.asked_at), digits: digitsOf(request) });
    void this.dialog?.ask({
      title: approve ? t('let.title', { name }) : t('turn.title', { name }),
      words: [which, approve ? t('let.what') : t('turn.what'), ...(several ? [t('fleet.twice')] : [])],
      send: approve ? t('let.send') : t('turn.send'),
      grave: several || !approve,
      run: async () => {
        await api.decideReturn(edge.site, edge.edge, request.request, approve);
        await this.look('page');
      },
    });
  }

  override render() {
    return html`<div class="head">
        <p class="quiet">${this.fleet?.edges.length ? t('fleet.count', { number: this.fleet.edges.length }) : nothing}</p>
        ${this.codes(this.fleet?.codes ?? [])}
        ${this.acts ? html`<button type="button" class="main" @click=${this.makeCode}>${t('code.new')}</button>` : nothing}
      </div>
      <div class="scroll" tabindex="0" role="region" aria-label=${t('fleet.list')}>
        ${this.failure ? instead(this.failure, '') : nothing} ${this.table()}
      </div>
      <tr-code .edges=${this.fleet?.edges ?? []} @done=${() => this.look('page')}></tr-code><tr-act></tr-act>`;
  }

  private makeCode(): void {
    void this.renderRoot.querySelector<CodeDialog>('tr-code')?.show();
  }

  private withdraw(code: UnusedCode): void {
    void this.dialog?.ask({
      title: t('withdraw.title', { name: codeFor(code) }),
      words: [t('withdraw.made', { at: moment(code.created_at) }), t('withdraw.what')],
      send: t('withdraw.send'),
      run: async () => {
        await api.withdrawCode(code.id);
        await this.look('page');
      },
    });
  }

  private codes(unused: UnusedCode[]) {
    const said = (one: UnusedCode): string => t('code.unused', { name: codeFor(one), until: moment(one.expires_at) });
    const act = (one: UnusedCode) =>
      html`<button type="button" @click=${() => this.withdraw(one)}>${t('code.withdraw')}<span class="unseen"> ${codeFor(one)}</span></button>`;
    return html`<ul aria-label=${t('code.list')}>
      ${unused.map((one) => html`<li><span class="chip accent">${said(one)}</span>${this.acts ? act(one) : nothing}</li>`)}
    </ul>`;
  }

  private table() {
    const { fleet } = this;
    if (!fleet?.edges.length) {
      return this.failure ? nothing : instead('', fleet ? t('fleet.none') : t('loading'));
    }
    const acts = { revoke: (edge: Edge) => this.revoke(edge), decide: this.decide.bind(this) };
    const columns = [t('fleet.edge'), t('fleet.standing'), t('fleet.seen'), t('fleet.line'), t('fleet.coming')];
    const rows = fleet.edges.map((edge) => edgeRow(edge, Date.parse(fleet.now), this.acts ? acts : null));
    return list(columns, rows, this.acts ? t('admin.acts') : '');
  }
}
