"""The migrations, shipped with the package: `gateway db upgrade` runs them."""
