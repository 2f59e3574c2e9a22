"""Pseudo-labels: what a colony itself holds for the answers to items without keys."""
