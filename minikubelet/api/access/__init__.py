"""Who may come in, by which door, and what they may do there.

doors           who is it: a peer of the unix socket, a certificate, a token
impersonation   … and as whom do they want to act (`kubectl --as`)
roles           what view, edit, admin and the others may do, as data
authorization   may this user do this: the one decision, and the API server's words for no
reviews         the same as questions: `kubectl auth can-i`, `auth whoami`
token_request   tokens of ServiceAccounts: `kubectl create token`
users           a certificate and a kubeconfig for somebody: `minikubelet kubeconfig --user`
audit           one line per write: who did what, and what became of it
"""
