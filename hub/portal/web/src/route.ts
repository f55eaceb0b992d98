// Where in the portal we are: the part of the address after '#', so that the hub serves one page only.

export type Route = { page: 'worklist' } | { page: 'case'; id: number } | { page: 'admin'; table: string } | { page: 'account' };

export const ADMIN_TABLES = ['edges', 'alerts', 'quarantine', 'conflicts', 'rules', 'audit', 'emergencies'] as const;

const SEEN_BY: Record<string, readonly string[]> = {
  admin: ['edges', 'alerts', 'quarantine', 'conflicts', 'rules'],
  auditor: ADMIN_TABLES,
  lead: ['emergencies'],
};

/** The administration pages a role may look at; the hub decides, this only spares people refusals. */
export function tablesOf(role: string): readonly string[] {
  return SEEN_BY[role] ?? [];
}

export function parseRoute(hash: string): Route {
  const [page = '', rest = ''] = hash.replace(/^#?\/?/, '').split('/');
  if (page === 'case' && /^\d+$/.test(rest)) {
    return { page: 'case', id: Number(rest) };
  }
  if (page === 'account') {
    return { page: 'account' };
  }
  if (page === 'admin') {
    return { page: 'admin', table: ADMIN_TABLES.find((table) => table === rest) ?? 'edges' };
  }
  return { page: 'worklist' };
}

export function toHash(route: Route): string {
  if (route.page === 'case') {
    return `#/case/${route.id}`;
  }
  if (route.page === 'account') {
    return '#/account';
  }
  return route.page === 'admin' ? `#/admin/${route.table}` : '#/';
}

export function go(route: Route): void {
  window.location.hash = toHash(route);
}
