// Tables: what every one of them looks like, and the frame of those that are only read.
import { css, html, nothing } from 'lit';

export const tableStyles = css`
  table {
    width: 100%;
    border-collapse: collapse;
  }
  th {
    position: sticky;
    top: 0;
    z-index: 1;
    padding: 0.2rem 0.1rem;
    background: var(--raised);
    text-align: left;
    white-space: nowrap;
  }
  td {
    padding: 0.5rem 0.6rem;
    border-top: 1px solid var(--line);
    vertical-align: top;
  }
  tbody tr:hover {
    background: var(--hover);
  }
  td strong {
    color: var(--strong);
    font-weight: 600;
  }
  td .quiet {
    display: block;
    font-size: 0.88rem;
  }
`;

/** Of a table that is only read, in a pane that scrolls. */
export const listStyles = [
  tableStyles,
  css`
    .scroll {
      position: relative; /* what is unseen in it scrolls with it */
      overflow: auto;
      border: 1px solid var(--line);
      border-radius: 10px;
      background: var(--surface);
    }
    th {
      padding: 0.5rem 0.6rem;
      color: var(--quiet);
    }
    td.short {
      white-space: nowrap;
    }
    td.wide {
      min-width: 16rem;
      overflow-wrap: anywhere;
    }
    .part + .part {
      margin-top: 0.3rem;
      padding-top: 0.3rem;
      border-top: 1px dotted var(--line);
    }
    .empty {
      margin: 1rem;
    }
  `,
];

/** A table of these rows; the column of their buttons, if they have some, is named for whoever listens. */
export function list(columns: string[], rows: unknown[], acts = '') {
  return html`<table>
    <thead>
      <tr>
        ${columns.map((words) => html`<th scope="col">${words}</th>`)}
        ${acts ? html`<th scope="col"><span class="unseen">${acts}</span></th>` : nothing}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

/** What stands in place of a table: that something went wrong, or that there is nothing. */
export function instead(failure: string, words: string) {
  return failure
    ? html`<p class="notice bad empty" role="alert">${failure}</p>`
    : words
      ? html`<p class="empty quiet" role="status">${words}</p>`
      : nothing;
}
