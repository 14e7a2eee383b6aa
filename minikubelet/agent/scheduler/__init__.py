"""Which pods this node takes, when, and at whose expense: kube-scheduler's decisions for a cluster of one.

    node_info   what is known: the node, the pods on it, the labels of namespaces
    resources, taints, node_affinity, pod_affinity, topology_spread   one question each
    filters     those questions in the scheduler's order; the first "no" counts
    preemption  which pods of lower priority would have to go
    cycle       one try for one pod: it fits, or why not in the scheduler's words
    binding     how the pod's object looks afterwards

Pure. `agent.binder` keeps the queue and acts; `agent.admission` asks some of the same questions once more for
the kubelet.
"""
