"""Historical reports: facts kept from the event log, and jobs that write them out."""
