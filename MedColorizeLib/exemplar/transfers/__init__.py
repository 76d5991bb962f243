"""The transfers that Zeng 2020 is compared with (its Table 3), one file each, as `exemplar.base.Transfer` asks."""
