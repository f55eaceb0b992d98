"""The private authority: root, issuing CAs, what they issue and revoke. The edge never holds it."""
