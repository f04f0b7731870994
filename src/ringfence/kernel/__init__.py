"""The words of the platform: records, faults, shapes, time. Imports nothing of ours."""
