"""What flows between a client and a pod: exec, attach, port-forward, over every transport kubectl has had.

    remote_command      exec and attach: one pump between a client and a process
      websocket_client  … a client over WebSocket (kubectl from 1.30 on, the Python client)
      spdy_client       … a client over SPDY/3.1 (kubectl before 1.30)
    port_forward        port-forward over SPDY/3.1, bare or in a WebSocket
      websocket_ports   … as the Python client asks for it
    spdy, spdy_session  SPDY/3.1: frames, and the streams of one connection
    upgrade             from an HTTP request to the bare connection, and clients that vanish

Nothing here grows: whoever produces waits for whoever consumes, in both directions, and a client that has
gone takes everything with it that was done for it.
"""
