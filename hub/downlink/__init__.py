"""Reports on their way back to the hospital.

`hub.reports` leaves a row in ``deliveries``; an edge asks for its site's rows (`routes`, long poll),
fetches the package (`outbox`), and tells after each step, signed, how far it is. `states` says what
may follow what. Nothing is pushed: the edge may be behind any firewall.
"""
