import{a as o,b as r,c as m}from"/app/chunk-D7Q7MPWP.js";import"/app/chunk-FJ5H7RPT.js";import"/app/chunk-YVYP46WI.js";export{o as UNCOUNTED,r as askConflict,m as askConflicts};
