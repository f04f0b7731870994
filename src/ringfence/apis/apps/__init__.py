"""Apps of partners, and their life in the accounts that install them."""
