"""People: who may come in, how they prove it, and what each role may do.

`roles` declares the policy; `passwords` and `totp` are the factors, `throttle` the brakes;
`accounts` and `sessions` keep the tables; `signing` keeps readers' signing keys under their own
passphrase; `access` puts them together; `middleware` is what every request passes.
"""
