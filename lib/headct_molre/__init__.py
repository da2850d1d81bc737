"""Head CT MoLRE: 75 findings on non-contrast head CT with Mixture of Low-Rank Experts (arXiv 2603.00675).

Research software, not a medical device. Importing this package is cheap: torch is only loaded by
`headct_molre.models`, `headct_molre.training` and `headct_molre.predict`.
"""

__version__ = "0.1.0"
