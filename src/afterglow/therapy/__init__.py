"""The mechanism: dose -> exposure -> receptor block -> glutamate -> BDNF -> synapses -> relief; virtual patients."""
