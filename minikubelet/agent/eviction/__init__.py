"""Node-pressure eviction and storage limits (kubelet-behaviour 13.6, 13.7, 6.11, 10.2).

thresholds      when is too little left of what: evictionHard, evictionSoft              [pure]
pressure        from observations to conditions of the node and to what must be done     [pure]
ranking         which pod goes first                                                     [pure]
messages        what its status says                                                     [pure]
storage_limits  which pod is beyond a limit of its own                                   [pure]
admission       who is not let in while the node is under pressure                       [pure]
manager         the loop: look, decide, reclaim, evict one pod, look again
"""
