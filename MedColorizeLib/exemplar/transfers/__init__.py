"""The transfers that Zeng 2020 is compared with (its Table 3), one file each; the contract is `exemplar.base.Transfer`."""
