"""Assembly: inspect parts, assemble, ship, dismantle what fails."""
