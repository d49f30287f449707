"""A family of environments that lives outside the packages: what somebody else would write.

One item is bought; it may be used, thrown away, or inspected first. Importing this registers it.
"""

import qc_gym

ID = "single_item/SingleItem-v0"
qc_gym.register(ID, environment="single_item.env:SingleItem", family="single_item.optimum:FAMILY")
