"""The probe actions: one module each, and what they share.

`http`, `tcp` and `exec` do one check and answer with an `Outcome`; `target` says where a check goes. Nothing
here knows periods or thresholds (`agent.probe_state`) or waits for the next tick (`agent.prober`). HTTP is
spoken by hand on a bare socket, because Events carry the words of Go's net/http and because a hostile server
must cost next to nothing: `url`, `response` and `connection` are its three parts. The lifecycle hooks
(`agent.hooks`) use the same client.
"""
