"""The edges: how one joins, stays and leaves.

1. ``telerad hub token create --site H001`` (`tokens`): a one-time word for one site; only its digest is kept.
2. ``POST /enroll`` on the web port (`enrolment`, `routes`): token and certificate request against a
   device certificate. The site comes from the token. Token and certificate row change in one transaction.
3. Every request on the line port passes `middleware`: the TLS certificate says who calls, and the
   ``devices`` table whether it still may. An edge that is not in the table is a stranger.
4. ``POST /v1/renew`` (`enrolment`): a new certificate for a new key, asked for over the old one.
5. ``GET /whoami`` on the web port (`diagnosis`): tells an edge in words why the line refused it.
6. ``POST /enroll/return`` (`returns`): an expired edge comes back, with an administrator's nod.
7. `uses`: a key that is used in two places at once is noticed.
8. ``telerad hub edge revoke`` (`devices`): in the table at once; open connections end within seconds.
"""
