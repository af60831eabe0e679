import{a as o,b as r}from"/app/chunk-BWIFAXMG.js";import"/app/chunk-BMIXS5YR.js";import"/app/chunk-HUE5J7GY.js";export{o as askConflict,r as askConflicts};
